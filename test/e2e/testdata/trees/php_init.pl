# supervisor(1), which ends when it meets a child that it does not know -> php-fpm, which does not wait -> Z: worker
$0 = 'supervisor';
my $fpm = start 'php-fpm', sub { dead 4, 'worker', 0; ready 4; stay };
while ((my $pid = waitpid -1, 0) > 0) {
    next if $pid == $fpm;
    print "unknown child $pid\n";
    exit 1;
}
stay;
