# runner(1), which waits for its job alone -> job, Z: step
$0 = 'runner';
dead 3, 'step', 2;
my $job = start 'job', \&stay;
ready 3;
waitpid $job, 0;
