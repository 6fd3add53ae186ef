module bsm.local/test/intruder

go 1.19
