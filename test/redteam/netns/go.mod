module bsm.local/test/netns

go 1.19
