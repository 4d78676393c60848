# init(1), which reaps -> api, held by the debugger beside it -> Z: worker
$0 = 'init';
pipe my $read, my $write or die "pipe: $!";
my $api = start 'api', sub { dead 3, 'worker', 0; ready 3; close $write; stay };
start 'debugger', sub {
    close $write;
    <$read>;
    call(101, 117, 16, $api, 0, 0) == 0 or die "PTRACE_ATTACH: $!";
    stay;
};
close $write;
reap;
