# gateway(1), which ignores SIGCHLD, but only after the deaths -> Z: setup
$0 = 'gateway';
dead 3, 'setup', 0;
$SIG{CHLD} = 'IGNORE';
ready 3;
stay;
