module bsm.local/test/lying-qemu

go 1.19
