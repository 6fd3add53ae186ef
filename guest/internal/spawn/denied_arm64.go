package spawn

// denied are the system calls no tool has a use for (asm-generic/unistd.h).
// Those with a newer twin that libraries try first answer ENOSYS, so that the
// libraries fall back; all others answer EPERM.
var denied = []rule{
	// namespaces and mounts
	{nr: 268}, {nr: 40}, {nr: 39}, {nr: 41}, {nr: 51}, // setns mount umount2 pivot_root chroot
	{nr: 428}, {nr: 429}, {nr: 430}, {nr: 431}, {nr: 432}, {nr: 433}, {nr: 442}, // open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr
	// io_uring can open sockets behind the filter's back
	{nr: 425, errno: enosys}, {nr: 426, errno: enosys}, {nr: 427, errno: enosys},
	{nr: 280}, {nr: 241}, // bpf perf_event_open
	{nr: 217}, {nr: 218}, {nr: 219}, // add_key request_key keyctl
	{nr: 117}, {nr: 270}, {nr: 271}, {nr: 272}, {nr: 438}, {nr: 440}, {nr: 448}, // ptrace process_vm_readv process_vm_writev kcmp pidfd_getfd process_madvise process_mrelease
	{nr: 105}, {nr: 106}, {nr: 273}, {nr: 104}, {nr: 294}, // init_module delete_module finit_module kexec_load kexec_file_load
	{nr: 142}, {nr: 224}, {nr: 225}, {nr: 89}, {nr: 60}, {nr: 443}, {nr: 116}, {nr: 58}, // reboot swapon swapoff acct quotactl quotactl_fd syslog vhangup
	{nr: 282}, {nr: 264}, {nr: 265}, {nr: 262}, {nr: 18}, // userfaultfd name_to_handle_at open_by_handle_at fanotify_init lookup_dcookie
	{nr: 170}, {nr: 112}, {nr: 171}, {nr: 266}, // settimeofday clock_settime adjtimex clock_adjtime
	{nr: 161}, {nr: 162}, // sethostname setdomainname
	{nr: 435, errno: enosys}, // clone3: its flags lie in memory where a filter cannot look
}

const (
	nrSocket     = 198
	nrSocketpair = 199
	nrClone      = 220
	nrUnshare    = 97
	nrIoctl      = 29
)
