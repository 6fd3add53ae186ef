module brainstorm-sandbox/guest

go 1.19
