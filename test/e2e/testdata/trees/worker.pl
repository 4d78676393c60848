# init(1), which reaps -> worker, which does not wait -> Z: sh
$0 = 'init';
start 'worker', sub { dead 5, 'sh', 3; ready 5; stay };
reap;
