# init(1), which reaps -> backup, in state D for good -> Z: mount.nfs. It writes to a file system that takes no writes now.
$0 = 'init';
start 'backup', sub {
    dead 4, 'mount.nfs', 32;
    ready 4;
    open my $file, '>', "$ARGV[0]/backup" or die "open: $!";
    stay;
};
reap;
