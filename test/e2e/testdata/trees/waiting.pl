# init(1), which reaps -> 3 nfsd, asleep in S, and 1 umount, which hangs in state D: none is dead
$0 = 'init';
start 'nfsd', \&stay for 1 .. 3;
start 'umount', sub { if (call(56, 220, 0x4000 | SIGCHLD, 0, 0, 0, 0) == 0) { stay } };
print "ready: 0 zombies, 4 that live, under pid 1\n";
reap;
