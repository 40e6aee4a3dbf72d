package server

import "github.com/fleetline/fleetline/internal/admin"

// counts reads what the dashboard shows from the metrics, so that nothing is counted twice.
func (s *Server) counts() admin.Counts {
	families, err := s.registry.Gather()
	if err != nil {
		s.log.Warn("gathering the metrics", "err", err)
	}
	sum := make(map[string]uint64, len(families))
	for _, f := range families {
		for _, m := range f.GetMetric() {
			sum[f.GetName()] += uint64(m.GetCounter().GetValue()) // 0 if it is no counter
		}
	}
	return admin.Counts{Delivered: sum["fleetline_session_delivered_total"], Admitted: sum["fleetline_gateway_admitted_total"]}
}
