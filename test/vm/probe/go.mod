module bsm.local/test/probe

go 1.19
