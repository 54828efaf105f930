#include "weights/checkpoint_files.h"

#include <memory>
#include <set>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/error.h"
#include "common/file.h"
#include "common/status_macros.h"
#include "nlohmann/json.hpp"
#include "weights/torch_file.h"

namespace promptd::weights {
namespace {

using Json = nlohmann::json;

constexpr int64_t kMaxIndexBytes = int64_t{8} << 20;
constexpr size_t kMaxShards = 64;

bool LooksLikeSafetensors(absl::string_view bytes, const std::string& path) {
  return absl::EndsWith(path, ".safetensors") ||
         (bytes.size() > 8 && bytes[8] == '{');
}

absl::StatusOr<RawTensors> ReadSafetensors(std::string bytes,
                                           const std::string& path,
                                           int64_t max_bytes) {
  SafetensorsLimits limits;
  limits.max_file_bytes = max_bytes;
  ASSIGN_OR_RETURN(Safetensors file,
                   Safetensors::FromBytes(std::move(bytes), path, limits));
  return RawTensorsOf(std::make_shared<const Safetensors>(std::move(file)));
}

absl::Status BadIndex(const std::string& path, absl::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, "BAD_SHARD_INDEX",
                   absl::StrCat(path, ": ", what));
}

// Names of files in the folder itself.
bool IsShardName(absl::string_view name) {
  return absl::EndsWith(name, ".safetensors") && name.size() <= 255 &&
         !absl::StrContains(name, '/') && !absl::StrContains(name, '\0') &&
         name.front() != '.';
}

// File name to the tensors that the index puts there.
absl::StatusOr<std::map<std::string, std::set<std::string>>> ReadIndex(
    const std::string& path) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kMaxIndexBytes));
  const Json json = Json::parse(bytes, nullptr, /*allow_exceptions=*/false);
  const auto map = json.is_object() ? json.find("weight_map") : json.end();
  if (map == json.end() || !map->is_object() || map->empty()) {
    return BadIndex(path, "has no \"weight_map\"");
  }
  std::map<std::string, std::set<std::string>> shards;
  for (const auto& [name, shard] : map->items()) {
    if (!shard.is_string() ||
        !IsShardName(shard.get_ref<const std::string&>())) {
      return BadIndex(
          path, absl::StrCat("tensor \"", absl::CHexEscape(name.substr(0, 80)),
                             "\" is not in a .safetensors file beside it"));
    }
    shards[shard.get<std::string>()].insert(name);
  }
  if (shards.size() > kMaxShards) {
    return BadIndex(path,
                    absl::StrCat("names more than ", kMaxShards, " files"));
  }
  return shards;
}

}  // namespace

absl::StatusOr<CheckpointTensors> ReadCheckpointFile(const std::string& path,
                                                     int64_t max_bytes) {
  ASSIGN_OR_RETURN(std::string bytes, ReadFile(path, max_bytes));
  CheckpointTensors read;
  if (LooksLikeTorchFile(bytes)) {
    TorchFileLimits limits;
    limits.zip.max_file_bytes = max_bytes;
    ASSIGN_OR_RETURN(TorchFile file,
                     TorchFile::FromBytes(std::move(bytes), path, limits));
    read.tensors = file.tensors();
    read.scalars = file.scalars();
    read.is_torchscript = file.is_torchscript();
    return read;
  }
  if (!LooksLikeSafetensors(bytes, path)) {
    return MakeError(absl::StatusCode::kInvalidArgument, "UNKNOWN_CHECKPOINT",
                     absl::StrCat(path,
                                  " is neither a safetensors file nor one "
                                  "that torch.save or torch.jit.save wrote"));
  }
  ASSIGN_OR_RETURN(read.tensors,
                   ReadSafetensors(std::move(bytes), path, max_bytes));
  return read;
}

absl::StatusOr<CheckpointTensors> ReadCheckpointShards(
    const std::string& folder, const std::string& index, int64_t max_bytes) {
  const std::string index_path = absl::StrCat(folder, "/", index);
  ASSIGN_OR_RETURN(const auto shards, ReadIndex(index_path));
  CheckpointTensors read;
  for (const auto& [shard, names] : shards) {
    const std::string path = absl::StrCat(folder, "/", shard);
    ASSIGN_OR_RETURN(std::string bytes, ReadFile(path, max_bytes));
    max_bytes -= static_cast<int64_t>(bytes.size());
    ASSIGN_OR_RETURN(RawTensors tensors,
                     ReadSafetensors(std::move(bytes), path, int64_t{1} << 62));
    for (const std::string& name : names) {
      if (tensors.count(name) == 0) {
        return BadIndex(index_path, absl::StrCat("tensor \"", name,
                                                 "\" is not in ", shard));
      }
    }
    if (tensors.size() != names.size()) {
      return BadIndex(index_path, absl::StrCat(shard, " has ", tensors.size(),
                                               " tensors, the index names ",
                                               names.size(), " of them"));
    }
    read.tensors.merge(tensors);
  }
  return read;
}

}  // namespace promptd::weights
