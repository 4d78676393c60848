# init(1), which reaps -> editor, stopped -> Z: make
$0 = 'init';
start 'editor', sub { dead 3, 'make', 2; ready 3; kill STOP => $$; stay };
reap;
