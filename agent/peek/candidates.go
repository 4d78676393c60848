package peek

// candidate is where an init may be in an image.
type candidate struct {
	path string
	// witnesses are files of which one must be there too, where the path alone does not say what it is.
	witnesses []string
}

// names are the command names of inits.
var names = map[string]bool{
	"tini": true, "tini-static": true, "dumb-init": true, "catatonit": true, "docker-init": true, "s6-svscan": true,
}

// candidates are the inits in the order in which they are proposed. Debian and Ubuntu put theirs in /usr/bin, Alpine puts tini in /sbin,
// Fedora puts catatonit in /usr/libexec, and images that download theirs in the root directory or in /usr/local. What s6-overlay
// starts is /init, which other images have for other things. docker-init comes last, as it may be there for containers in the container.
var candidates = []candidate{
	{path: "/usr/bin/tini"}, {path: "/sbin/tini"}, {path: "/tini"}, {path: "/usr/local/bin/tini"}, {path: "/bin/tini"},
	{path: "/usr/sbin/tini"}, {path: "/usr/local/sbin/tini"},
	{path: "/usr/bin/tini-static"}, {path: "/sbin/tini-static"}, {path: "/tini-static"}, {path: "/usr/local/bin/tini-static"},
	{path: "/bin/tini-static"},
	{path: "/usr/bin/dumb-init"}, {path: "/usr/local/bin/dumb-init"}, {path: "/dumb-init"}, {path: "/bin/dumb-init"},
	{path: "/sbin/dumb-init"}, {path: "/usr/sbin/dumb-init"},
	{path: "/usr/bin/catatonit"}, {path: "/usr/libexec/catatonit/catatonit"}, {path: "/usr/libexec/podman/catatonit"},
	{path: "/usr/local/bin/catatonit"}, {path: "/catatonit"}, {path: "/bin/catatonit"}, {path: "/sbin/catatonit"},
	{path: "/init", witnesses: []string{"/command/s6-svscan", "/package/admin/s6-overlay", "/bin/s6-svscan", "/usr/bin/s6-svscan"}},
	{path: "/usr/bin/docker-init"}, {path: "/usr/local/bin/docker-init"}, {path: "/usr/libexec/docker/docker-init"},
	{path: "/sbin/docker-init"},
}
