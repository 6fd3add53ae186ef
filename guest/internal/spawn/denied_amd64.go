package spawn

// denied is the amd64 numbering of the list in denied_arm64.go.
var denied = []rule{
	{nr: 308}, {nr: 165}, {nr: 166}, {nr: 155}, {nr: 161},
	{nr: 428}, {nr: 429}, {nr: 430}, {nr: 431}, {nr: 432}, {nr: 433}, {nr: 442},
	{nr: 425, errno: enosys}, {nr: 426, errno: enosys}, {nr: 427, errno: enosys},
	{nr: 321}, {nr: 298},
	{nr: 248}, {nr: 249}, {nr: 250},
	{nr: 101}, {nr: 310}, {nr: 311}, {nr: 312}, {nr: 438}, {nr: 440}, {nr: 448},
	{nr: 175}, {nr: 176}, {nr: 313}, {nr: 246}, {nr: 320},
	{nr: 169}, {nr: 167}, {nr: 168}, {nr: 163}, {nr: 179}, {nr: 443}, {nr: 103}, {nr: 153},
	{nr: 323}, {nr: 303}, {nr: 304}, {nr: 300}, {nr: 212},
	{nr: 164}, {nr: 227}, {nr: 159}, {nr: 305},
	{nr: 170}, {nr: 171},
	{nr: 435, errno: enosys},
}

const (
	nrSocket     = 41
	nrSocketpair = 53
	nrClone      = 56
	nrUnshare    = 272
	nrIoctl      = 16
)
