package socket

// New makes the engine that holds the most connections on this system.
func New(cfg Config) (*Epoll, error) { return NewEpoll(cfg) }
