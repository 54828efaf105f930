#include "worker/keyed_hash.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <memory>

#include "common/check.h"

namespace promptd::worker {
namespace {

constexpr size_t kBytes = 16;
constexpr size_t kNonceBytes = 12;

struct Free {
  void operator()(EVP_MAC_CTX* context) const { EVP_MAC_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_MAC_CTX, Free>;

// With the key in it, for copies; never destroyed.
EVP_MAC_CTX* MakeKeyed() {
  unsigned char key[kBytes];
  PROMPTD_CHECK(RAND_bytes(key, sizeof(key)) == 1);
  unsigned char nonce[kNonceBytes] = {};
  char cipher[] = "AES-128-GCM";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_CIPHER, cipher, 0),
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_IV, nonce,
                                        sizeof(nonce)),
      OSSL_PARAM_construct_end()};
  EVP_MAC* const gmac = EVP_MAC_fetch(nullptr, "GMAC", nullptr);
  PROMPTD_CHECK(gmac != nullptr);
  EVP_MAC_CTX* const context = EVP_MAC_CTX_new(gmac);
  EVP_MAC_free(gmac);  // the context holds it
  PROMPTD_CHECK(EVP_MAC_init(context, key, sizeof(key), parameters) == 1);
  return context;
}

}  // namespace

std::string KeyedHash(absl::string_view bytes) {
  static EVP_MAC_CTX* const keyed = MakeKeyed();
  const Context context(EVP_MAC_CTX_dup(keyed));
  std::string hash(kBytes, '\0');
  size_t written = 0;
  PROMPTD_CHECK(
      context != nullptr &&
      EVP_MAC_update(context.get(),
                     reinterpret_cast<const unsigned char*>(bytes.data()),
                     bytes.size()) == 1 &&
      EVP_MAC_final(context.get(),
                    reinterpret_cast<unsigned char*>(hash.data()), &written,
                    hash.size()) == 1 &&
      written == kBytes);
  return hash;
}

}  // namespace promptd::worker
