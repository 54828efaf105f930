// A private folder that disappears with everything in it.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace promptd::client {

// Thread-compatible; Remove may be called from another thread once.
class TempFolder {
 public:
  // INTERNAL (NO_TEMP_FOLDER) names the place where it cannot be made.
  static absl::StatusOr<TempFolder> Make(const std::string& prefix);
  // An existing or new folder that is kept.
  static absl::StatusOr<TempFolder> Keep(const std::string& path);

  TempFolder(TempFolder&& other) noexcept;
  TempFolder& operator=(TempFolder&&) = delete;
  ~TempFolder();

  const std::string& path() const { return path_; }
  void Remove();

 private:
  TempFolder(std::string path, bool temporary);

  std::string path_;
  bool temporary_;
};

}  // namespace promptd::client
