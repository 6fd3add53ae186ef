module bsm/launcher

go 1.19
