package main

import (
	"fmt"
	"net"
	"os"
)

// notifyReady tells a service manager that waits for it (systemd, Type=notify) that machines are served.
func notifyReady() error {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil
	}
	manager, err := net.Dial("unixgram", name)
	if err != nil {
		return fmt.Errorf("calling the service manager: %w", err)
	}
	defer manager.Close()
	if _, err := manager.Write([]byte("READY=1")); err != nil {
		return fmt.Errorf("telling the service manager: %w", err)
	}
	return nil
}
