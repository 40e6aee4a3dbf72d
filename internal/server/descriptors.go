package server

import "github.com/fleetline/fleetline/internal/socket"

// fewMachines is what a limit of descriptors should let in without a warning.
const fewMachines = 10_000

// tellLimit says how many machines the limit of descriptors lets in.
func (s *Server) tellLimit() {
	limit := socket.DescriptorLimit()
	if limit == 0 {
		return
	}
	machines := socket.MachineLimit()
	if machines < fewMachines {
		s.log.Warn("this process may open few files, and each machine needs one: raise ulimit -n, or LimitNOFILE in its unit",
			"limit", limit, "fits", machines)
		return
	}
	s.log.Info("limit of open files, of which each machine needs one", "limit", limit, "fits", machines)
}
