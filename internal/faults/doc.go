// Package faults measures what a running Sesame loses when something around it fails: its process,
// its database, its disk, its network, its mail server or its clock. Clients register, log in,
// refresh, log out and reset passwords all the time, and remember what was acknowledged. After each
// failure they check it.
//
// The tests are short. With -long, as in make faults, they repeat each failure many times and write
// the figures to docs/reliability.md, which explains them.
package faults
