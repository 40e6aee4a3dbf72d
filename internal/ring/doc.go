// Package ring has Linux write to many sockets, read from them or accept many in one system call, through
// io_uring. It waits for nothing: what a socket does not take or have at once is answered with EAGAIN, so
// nothing is in flight when a call returns, and no memory belongs to the kernel between two.
//
// It does not know what a connection is. On other systems it is empty.
package ring
