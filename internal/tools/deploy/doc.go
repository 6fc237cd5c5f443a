// Package deploy tests the folder deploy of the repository, as far as that is possible without a
// container engine and a cluster. It is a module of its own, because the libraries that read
// Dockerfiles, Compose files and Helm charts have many dependencies. Run it with make check-deploy.
package deploy
