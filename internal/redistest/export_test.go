package redistest

// Pids returns the process IDs of the running processes.
func (s *Server) Pids() []int {
	if s.proc == nil {
		return nil
	}
	return []int{s.proc.cmd.Process.Pid}
}

func (s *Sentinel) Pids() (pids []int) {
	for _, server := range s.servers {
		pids = append(pids, server.Pids()...)
	}
	for _, p := range s.sentinels {
		pids = append(pids, p.cmd.Process.Pid)
	}
	return pids
}

func (c *Cluster) Pids() (pids []int) {
	for _, s := range c.servers {
		pids = append(pids, s.Pids()...)
	}
	return pids
}
