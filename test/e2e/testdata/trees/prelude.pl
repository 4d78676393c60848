use strict;
use warnings;
use POSIX qw(:signal_h :sys_wait_h);

$| = 1;

# stay sleeps for good. Signals that are handled wake it.
sub stay { sleep 60 while 1 }

# state reads the state of a process and its number of threads.
sub state_of {
    my ($pid) = @_;
    open my $file, '<', "/proc/$pid/stat" or return '';
    local $/;
    my $line = <$file> // '';
    return $line =~ /.*\) (\S)/s ? $1 : '';
}

# until waits for a condition.
sub until_true {
    my ($condition) = @_;
    select undef, undef, undef, 0.01 until $condition->();
}

# start runs a body in a child of a name.
sub start {
    my ($name, $body) = @_;
    my $pid = fork // die "fork: $!";
    return $pid if $pid;
    $0 = $name;
    $body->();
    POSIX::_exit(0);
}

# dead leaves so many children of a name, which end with an exit status or, if it is below 0, by that signal. It returns when
# they are dead.
sub dead {
    my ($count, $name, $end) = @_;
    for (1 .. $count) {
        my $pid = start $name, sub {
            kill -$end, $$ if $end < 0;
            POSIX::_exit($end);
        };
        until_true sub { state_of($pid) eq 'Z' };
    }
}

# ready says what hack/leaks says.
sub ready {
    my ($count, $pid) = @_;
    print "ready: $count zombies under pid ", $pid // $$, "\n";
}

# reap is an init's work: it waits for whatever becomes its child.
sub reap {
    1 while waitpid(-1, 0) > 0;
    stay;
}

# call makes a system call by its number on x86-64 and on arm64.
sub call {
    my ($amd64, $arm64, @args) = @_;
    return syscall((POSIX::uname())[4] eq 'aarch64' ? $arm64 : $amd64, @args);
}
