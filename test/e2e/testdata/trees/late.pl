# sentinel(1), which waits for all its dead children, but late -> Z: timeout. None gets older than a minute.
$0 = 'sentinel';
while (1) {
    dead 30, 'timeout', 124;
    ready 30;
    sleep 50;
    1 while waitpid(-1, WNOHANG) > 0;
}
