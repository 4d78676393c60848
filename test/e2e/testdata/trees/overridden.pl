# manager(1), which does not reap, in an image with tini that its command overrides -> Z: helm
$0 = 'manager';
mkdir '/sbin';
open my $tini, '>', '/sbin/tini' or die "making /sbin/tini: $!";
open my $program, '<', '/leaks/leaks' or die "reading /leaks/leaks: $!";
binmode $_ for $tini, $program;
local $/ = \65536;
print $tini $_ while <$program>;
close $tini;
chmod 0755, '/sbin/tini';
dead 4, 'helm', 1;
ready 4;
stay;
