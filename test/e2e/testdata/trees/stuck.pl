# init(1), which reaps -> backup, in state D -> rsync, Z: mount.nfs
#
# What a vfork() waits for stands for hung storage: the child does neither exec nor end. It shares no memory here
# (CLONE_VFORK without CLONE_VM).
$0 = 'init';
start 'backup', sub {
    dead 4, 'mount.nfs', 32;
    ready 4;
    if (call(56, 220, 0x4000 | SIGCHLD, 0, 0, 0, 0) == 0) { $0 = 'rsync'; stay }
};
reap;
