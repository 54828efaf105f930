#include "metrics/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace promptd::metrics {
namespace {

prometheus::Gauge& AddGauge(prometheus::Registry& registry,
                            const std::string& name, const std::string& help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add(
      {});
}

double CpuSeconds() {
  rusage usage{};
  if (::getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) +
           static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

int CountEntries(const char* folder) {
  std::error_code error;
  int count = 0;
  for (std::filesystem::directory_iterator it(folder, error), end;
       !error && it != end; it.increment(error)) {
    ++count;
  }
  return count;
}

}  // namespace

ProcessMetrics::ProcessMetrics(prometheus::Registry& registry)
    : cpu_seconds_(prometheus::BuildCounter()
                       .Name("process_cpu_seconds_total")
                       .Help("User and system CPU time in seconds.")
                       .Register(registry)
                       .Add({})),
      resident_bytes_(AddGauge(registry, "process_resident_memory_bytes",
                               "Resident memory in bytes.")),
      virtual_bytes_(AddGauge(registry, "process_virtual_memory_bytes",
                              "Virtual memory in bytes.")),
      open_fds_(
          AddGauge(registry, "process_open_fds", "Open file descriptors.")),
      max_fds_(AddGauge(registry, "process_max_fds",
                        "Limit of open file descriptors.")),
      threads_(AddGauge(registry, "process_threads", "Threads.")) {
  AddGauge(registry, "process_start_time_seconds",
           "When the process started, in seconds since the epoch.")
      .Set(absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch()));
  Refresh();
}

void ProcessMetrics::Refresh() {
  const double cpu = CpuSeconds();
  if (cpu > cpu_seconds_.Value()) {
    cpu_seconds_.Increment(cpu - cpu_seconds_.Value());
  }
  std::ifstream statm("/proc/self/statm");
  double virtual_pages = 0;
  double resident_pages = 0;
  if (statm >> virtual_pages >> resident_pages) {
    const auto page = static_cast<double>(::sysconf(_SC_PAGESIZE));
    virtual_bytes_.Set(virtual_pages * page);
    resident_bytes_.Set(resident_pages * page);
  }
  open_fds_.Set(CountEntries("/proc/self/fd"));
  threads_.Set(CountEntries("/proc/self/task"));
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    max_fds_.Set(static_cast<double>(limit.rlim_cur));
  }
}

}  // namespace promptd::metrics
