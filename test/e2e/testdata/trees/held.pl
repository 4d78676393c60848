# init(1), which reaps -> Z: victim, held by the tracer beside it, which has not waited
$0 = 'init';
pipe my $read, my $write or die "pipe: $!";
my $victim = start 'victim', sub { close $write; <$read>; POSIX::_exit(0) };
start 'strace', sub {
    call(101, 117, 0x4206, $victim, 0, 0) == 0 or die "PTRACE_SEIZE: $!";
    close $write;
    until_true sub { state_of($victim) eq 'Z' };
    print "ready: 0 zombies, 1 held by a tracer, under pid 1\n";
    stay;
};
close $write;
reap;
