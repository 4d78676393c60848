# Needs Go, git, make and coreutils. All other tools are pinned in hack/tools/go.mod or come with hack/cluster.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# What a build calls itself. Override it where there is no git history: make build VERSION=1.2.3
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# The architecture of images for the local cluster.
ARCH ?= $(shell go env GOARCH)
# The local cluster (cluster-up): its name, 1 to 4 nodes, most processes of a pod (0 is no limit).
NAME ?= zombie
NODES ?= 1
$(if $(filter 1 2 3 4,$(NODES)),,$(error NODES is '$(NODES)': it must be 1 to 4))
POD_PIDS_LIMIT ?= 0

GO_TOOL := go tool -modfile='$(CURDIR)/hack/tools/go.mod'
CONTROLLER_GEN := $(GO_TOOL) controller-gen
GOLANGCI_LINT := golangci-lint
HELM := $(GO_TOOL) helm
# go test -v, and at the end once more what the tests that failed said.
GO_TEST_V := $(GO_TOOL) gotestsum --format standard-verbose --
ZCLUSTER := cd hack/cluster && go run ./cmd/zcluster
# Without a commit, or in a tree of another owner, git does not answer, and a build that asks it fails.
BUILDVCS := $(if $(shell git rev-parse --verify --quiet HEAD 2>/dev/null),true,false)
MODULE := github.com/zombie-operator/zombie-operator
GO_BUILD := CGO_ENABLED=0 go build -buildvcs=$(BUILDVCS) -trimpath -ldflags '-s -w -X $(MODULE)/cmd/internal/cli.release=$(VERSION)'

# The race detector needs cgo, and so a C compiler. REQUIRE_RACE=1 makes its absence a failure.
RACE := $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)

CHART := charts/zombie-operator
GENERATED := api
CRDS := config/crd/bases
# Each is a module of its own, so that what it needs never reaches the product.
MODULES := . hack/cluster hack/cluster/cmd/etcd hack/cluster/cmd/kube hack/tools

##@ General

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z0-9-]+:.*## / { printf "  %-24s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: clean
clean: ## Remove what was built here; caches and clusters stay
	rm -rf bin dist

##@ Build

.PHONY: build
build: build-amd64 build-arm64 ## Build static programs for amd64 and arm64 into dist/

.PHONY: build-amd64
build-amd64: ## Build static programs for amd64 only
	GOOS=linux GOARCH=amd64 $(GO_BUILD) -o dist/linux_amd64/ ./cmd/zombie-agent ./cmd/zombie-controller

.PHONY: build-arm64
build-arm64: ## Build static programs for arm64 only
	GOOS=linux GOARCH=arm64 $(GO_BUILD) -o dist/linux_arm64/ ./cmd/zombie-agent ./cmd/zombie-controller

.PHONY: image
image: build-$(ARCH) ## Build dist/zombie-operator.tar, tagged localhost/zombie-operator:dev (needs root)
	$(ZCLUSTER) image-build --context '$(CURDIR)' --tag localhost/zombie-operator:dev --platform linux/$(ARCH) \
	  --build-arg BASE=scratch --build-arg VERSION='$(VERSION)' \
	  --output '$(CURDIR)/dist/zombie-operator.tar'

.PHONY: leaks-image
leaks-image: ## Build dist/zombie-leaks.tar, tagged localhost/zombie-leaks:dev: pods that leak (needs root)
	rm -rf dist/leaks
	GOOS=linux GOARCH=$(ARCH) $(GO_BUILD) -o dist/leaks/leaks/leaks ./hack/leaks
	go run ./hack/leaks install dist/leaks/leaks
	$(ZCLUSTER) image-build --file '$(CURDIR)/hack/leaks/Dockerfile' --context '$(CURDIR)/dist/leaks' \
	  --tag localhost/zombie-leaks:dev --platform linux/$(ARCH) --output '$(CURDIR)/dist/zombie-leaks.tar'

##@ Try

.PHONY: demo
demo: ## Show it all: a cluster, the operator, leaking pods, their reports, their cure (needs root)
	go run ./hack/demo

.PHONY: demo-down
demo-down: ## Take the demo down and leave nothing behind
	go run ./hack/demo down

.PHONY: cluster-up
cluster-up: ## Bring a local cluster up: NAME=zombie NODES=1 (needs root)
	$(ZCLUSTER) up --name '$(NAME)' --nodes '$(NODES)' --pod-pids-limit '$(POD_PIDS_LIMIT)'

.PHONY: cluster-down
cluster-down: ## Take a local cluster down and leave nothing behind: NAME=zombie
	$(ZCLUSTER) down --name '$(NAME)'

##@ Test

# The agent, the leaking programs and the local cluster are about the Linux kernel and compile only for it.
LINUX := $(filter linux,$(shell go env GOOS))
ANYWHERE := ./api/... ./controllers/... ./cmd/zombie-controller/... ./hack/chartdocs/...
# $(call left-out,WHAT,WHY): says it, and fails where leaving something out would hide a failure.
left-out = echo '$@: left out: $(1): $(2)' >&2; [ '$(REQUIRE_E2E)' != 1 ]

.PHONY: test
test: test-unit test-api test-cgroupv2 test-e2e ## Run all tests

# -timeout: hack/leaks and the first build of the tools take their time on two cores.
.PHONY: test-unit
test-unit: ## Run unit tests, with the race detector where there is a C compiler
	@if [ -z '$(RACE)' ]; then \
	  echo 'test-unit: no C compiler, so the race detector is left out; install gcc to have it' >&2; \
	  [ '$(REQUIRE_RACE)' != 1 ]; \
	fi
ifdef LINUX
	@if [ "$$(id -u)" != 0 ]; then $(call left-out,tests in PID namespaces,they need root); fi
	go vet ./...
	go test $(RACE) -timeout 20m $$(go list ./... | grep -v '/test/')
	cd hack/cluster && go vet ./... && go test $(RACE) -timeout 20m $$(go list ./... | grep -v '/test$$')
else
	@$(call left-out,the agent and the local cluster,they need Linux)
	go vet $(ANYWHERE)
	go test $(RACE) -timeout 20m $(ANYWHERE)
endif

# The programs are those of the local cluster; the first time they are built. Set KUBEBUILDER_ASSETS to use others.
.PHONY: test-api
test-api: ## Test CRDs, chart and config/ against a real kube-apiserver and etcd
ifeq ($(LINUX)$(KUBEBUILDER_ASSETS),)
	@$(call left-out,all of it,building kube-apiserver and etcd needs Linux; set KUBEBUILDER_ASSETS to the directory of others)
else
	@if [ -z "$$KUBEBUILDER_ASSETS" ]; then \
	  ( $(ZCLUSTER) build --binaries-only ) && exports=$$( $(ZCLUSTER) env ) && eval "$$exports"; \
	fi && set -x && go test $(RACE) -timeout 20m ./test/api/... ./test/chart/...
endif

# The kernel and qemu are Debian's, unpacked in the project's cache. REQUIRE_E2E=1 fails where they cannot be had.
.PHONY: test-cgroupv2
test-cgroupv2: ## Test what reads the kernel on one with cgroup v2 alone, in qemu: 2 to 4 minutes
ifdef LINUX
	$(GO_TEST_V) -count=1 -timeout 30m ./test/cgroupv2/...
else
	@$(call left-out,all of it,the emulated machine runs on Linux)
endif

.PHONY: test-e2e
test-e2e: ## Test the whole on a local cluster; REQUIRE_E2E=1 fails where that is impossible (needs root)
ifdef LINUX
	cd hack/cluster && $(GO_TEST_V) -count=1 -timeout 30m ./test
	$(GO_TEST_V) -count=1 -timeout 60m ./test/e2e/...
else
	@$(call left-out,all of it,a local cluster needs Linux)
endif

.PHONY: fuzz
fuzz: ## Fuzz every parser for FUZZTIME=30s each
	@set -e; grep -rlE --include='*_test.go' '^func Fuzz' agent api controllers | while read -r file; do \
	  for name in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' "$$file"); do \
	    echo "fuzzing $$name in $$file"; \
	    go test -run '^$$' -fuzz "^$$name\$$" -fuzztime '$(or $(FUZZTIME),30s)' "./$$(dirname "$$file")" </dev/null; \
	  done; \
	done

.PHONY: update-fuzz-corpus
update-fuzz-corpus: ## Keep inputs that make fuzz found, 50 of each parser
	hack/update-fuzz-corpus.sh

##@ Check

.PHONY: verify
verify: verify-generate verify-crds verify-rbac verify-chart-readme verify-tidy verify-format verify-lint verify-file-length verify-chart ## Check that generated files are current, and all rules of style

.PHONY: verify-generate
verify-generate: ## Check deep copies and apply configurations
	hack/verify-update.sh update-generate $(GENERATED)

.PHONY: verify-crds
verify-crds: ## Check the CRDs in config/ and in the chart
	hack/verify-update.sh update-crds $(CRDS) $(CHART)/files/crds

.PHONY: verify-rbac
verify-rbac: ## Check the roles in config/rbac; test/chart compares the chart with them
	hack/verify-update.sh update-rbac config/rbac

.PHONY: verify-chart-readme
verify-chart-readme: ## Check the table of values in the chart's README
	hack/verify-update.sh update-chart-readme $(CHART)/README.md

.PHONY: verify-tidy
verify-tidy: ## Check go.mod and go.sum of every module
	@for module in $(MODULES); do \
	  ( cd "$$module" && go mod tidy -diff ) || { echo "$$module/go.mod is not tidy: run \`make update-tidy\` and commit the result" >&2; exit 1; }; \
	done

.PHONY: verify-format
verify-format: ## Check the format of Go files
	@$(GO_TOOL) $(GOLANGCI_LINT) fmt --diff || { echo 'run `make update-format` and commit the result' >&2; exit 1; }

.PHONY: verify-lint
verify-lint: lint ## Same as lint

.PHONY: verify-file-length
verify-file-length: ## Check that no file is over 500 lines
	hack/verify-file-length.sh

.PHONY: verify-chart
verify-chart: ## Lint the chart
	$(HELM) lint --strict --quiet $(CHART)

.PHONY: lint
lint: ## Run golangci-lint on the product and on hack/cluster
	@failed=0; \
	$(GO_TOOL) $(GOLANGCI_LINT) run ./... || failed=1; \
	( cd hack/cluster && $(GO_TOOL) $(GOLANGCI_LINT) run --config ../../.golangci.yml ./... ) || failed=1; \
	exit $$failed

##@ Generate

.PHONY: update
update: update-generate update-crds update-rbac update-chart-readme update-tidy update-format ## Bring everything up to date that is generated

.PHONY: update-generate
update-generate: ## Generate deep copies and apply configurations
	$(CONTROLLER_GEN) object applyconfiguration paths=./api/...

.PHONY: update-crds
update-crds: ## Generate the CRDs and copy them into the chart
	$(CONTROLLER_GEN) crd paths=./api/... output:crd:dir=$(CRDS)
	rm -rf $(CHART)/files/crds && mkdir -p $(CHART)/files/crds && cp $(CRDS)/*.yaml $(CHART)/files/crds

.PHONY: update-rbac
update-rbac: ## Generate the roles in config/rbac from the kubebuilder:rbac markers
	$(CONTROLLER_GEN) rbac:roleName=agent,fileName=agent_role.yaml \
	  paths=./agent/... paths=./cmd/zombie-agent/... output:rbac:dir=config/rbac
	$(CONTROLLER_GEN) rbac:roleName=controller,fileName=controller_role.yaml \
	  paths=./controllers/... paths=./cmd/zombie-controller/... output:rbac:dir=config/rbac

.PHONY: update-chart-readme
update-chart-readme: ## Write the table of values into the chart's README
	go run ./hack/chartdocs $(CHART)

.PHONY: update-tidy
update-tidy: ## Tidy go.mod and go.sum of every module
	@for module in $(MODULES); do ( cd "$$module" && go mod tidy ) || exit 1; done

.PHONY: update-format
update-format: ## Format Go files
	$(GO_TOOL) $(GOLANGCI_LINT) fmt
