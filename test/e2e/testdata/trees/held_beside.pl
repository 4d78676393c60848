# init(1), which reaps -> worker -> Z: job. Beside it victim is dead, held by a tracer.
$0 = 'init';
pipe my $read, my $write or die "pipe: $!";
my $victim = start 'victim', sub { close $write; <$read>; POSIX::_exit(0) };
start 'strace', sub {
    call(101, 117, 0x4206, $victim, 0, 0) == 0 or die "PTRACE_SEIZE: $!";
    close $write;
    stay;
};
close $write;
start 'worker', sub {
    until_true sub { state_of($victim) eq 'Z' };
    dead 3, 'job', 1;
    ready 3;
    stay;
};
reap;
