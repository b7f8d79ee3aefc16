package redisadmin

// Conceal returns a command as it may be shown.
func Conceal(args []string) string { return conceal(args) }
