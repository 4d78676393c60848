# launcher(1) -> 2 dead clones that told their end by SIGUSR1, 1 by no signal: no plain wait() sees them
$0 = 'launcher';
$SIG{USR1} = 'IGNORE';
for my $signal (SIGUSR1, SIGUSR1, 0) {
    my $pid = call(56, 220, $signal, 0, 0, 0, 0);
    if ($pid == 0) { $0 = 'clone'; POSIX::_exit(0) }
    until_true sub { state_of($pid) eq 'Z' };
}
print "ready: 0 zombies, 3 with another exit signal, under pid 1\n";
reap;
