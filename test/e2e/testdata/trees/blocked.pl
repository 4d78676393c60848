# broker(1), which blocks SIGCHLD and never reads it -> Z: hook
$0 = 'broker';
sigprocmask SIG_BLOCK, POSIX::SigSet->new(SIGCHLD);
dead 3, 'hook', 1;
ready 3;
stay;
