// Transactions that return a value.
//
//   return store::WriteFor<Job>(db_, [&](Transaction& tx)
//                                        -> absl::StatusOr<Job> { ... });
#pragma once

#include <functional>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/database.h"

namespace promptd::store {

template <typename T>
using BodyFor = std::function<absl::StatusOr<T>(Transaction&)>;

namespace internal {

template <typename T>
absl::Status Keep(absl::StatusOr<T> from, std::optional<T>& to) {
  if (!from.ok()) return from.status();
  to.emplace(*std::move(from));
  return absl::OkStatus();
}

}  // namespace internal

// Database::Write whose body hands out a value, given only after the commit.
template <typename T>
absl::StatusOr<T> WriteFor(Database* db, const BodyFor<T>& body) {
  std::optional<T> result;
  const absl::Status status = db->Write(
      [&](Transaction& tx) { return internal::Keep<T>(body(tx), result); });
  if (!status.ok()) return status;
  return *std::move(result);
}

// The same for Database::Read.
template <typename T>
absl::StatusOr<T> ReadFor(Database* db, const BodyFor<T>& body) {
  std::optional<T> result;
  const absl::Status status = db->Read(
      [&](Transaction& tx) { return internal::Keep<T>(body(tx), result); });
  if (!status.ok()) return status;
  return *std::move(result);
}

}  // namespace promptd::store
