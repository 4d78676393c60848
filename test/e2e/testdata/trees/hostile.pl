# a parent(1) that does not wait -> Z, all of a hostile name, which comes in hex
my $name = pack 'H*', shift;
$0 = $name;
dead 3, $name, 0;
ready 3;
stay;
