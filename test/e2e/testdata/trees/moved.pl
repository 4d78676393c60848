# server(1), which does not wait -> browser, which ends -> Z: renderer: they pass to server
$0 = 'server';
my $browser = start 'browser', sub { dead 6, 'renderer', 0; ready 6, 1; sleep 24 };
stay;
