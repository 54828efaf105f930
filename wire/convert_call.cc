#include "wire/convert_call.h"

#include "wire/convert_time.h"

namespace promptd::wire {
namespace {

void EmbeddingToProto(const worker::Embedding& embedding, pb::Embedding* out) {
  out->mutable_values()->Add(embedding.values.begin(), embedding.values.end());
  out->set_norm(embedding.norm);
}

worker::Embedding EmbeddingFromProto(const pb::Embedding& embedding) {
  return {{embedding.values().begin(), embedding.values().end()},
          embedding.norm()};
}

// The plain enums count from 0, in the order of the messages'.
template <typename To, typename From>
To EnumToProto(From value) {
  return static_cast<To>(static_cast<int>(value) + 1);
}

// What is unknown becomes `fallback`.
template <typename To, typename From>
To EnumFromProto(From value, int count, To fallback) {
  const int index = static_cast<int>(value) - 1;
  return index < 0 || index >= count ? fallback : static_cast<To>(index);
}

void ImageToProto(const worker::ImageOutcome& image, pb::ImageOutcome* out) {
  ToProto(image.status, out->mutable_status());
  for (const std::vector<worker::Scored>& head : image.scores) {
    pb::Scores* scores = out->add_scores();
    for (const worker::Scored& scored : head) {
      pb::Scored* one = scores->add_classes();
      one->set_class_index(scored.class_index);
      one->set_probability(scored.probability);
      one->set_similarity(scored.similarity);
    }
  }
  EmbeddingToProto(image.embedding, out->mutable_embedding());
  out->set_cache(EnumToProto<pb::CacheUse>(image.cache));
  out->set_batch_size(image.batch_size);
}

worker::ImageOutcome ImageFromProto(const pb::ImageOutcome& image) {
  worker::ImageOutcome out;
  out.status = FromProto(image.status());
  for (const pb::Scores& head : image.scores()) {
    std::vector<worker::Scored>& scores = out.scores.emplace_back();
    for (const pb::Scored& scored : head.classes()) {
      scores.push_back(
          {scored.class_index(), scored.probability(), scored.similarity()});
    }
  }
  out.embedding = EmbeddingFromProto(image.embedding());
  out.cache = EnumFromProto(image.cache(), 4, worker::CacheUse::kBypass);
  out.batch_size = image.batch_size();
  return out;
}

}  // namespace

void ToProto(const worker::EncoderDescription& encoder,
             pb::EncoderDescription* out) {
  out->set_name(encoder.name);
  out->set_digest(encoder.digest);
  out->set_embed_dim(encoder.embed_dim);
  out->set_image_size(encoder.image_size);
  out->set_context_length(encoder.context_length);
  out->set_text_width(encoder.text_width);
  out->set_logit_scale(encoder.logit_scale);
  out->set_parameters(encoder.parameters);
  out->set_demonstration(encoder.demonstration);
  out->set_precision(encoder.precision == Precision::kBFloat16
                         ? pb::PRECISION_BFLOAT16
                         : pb::PRECISION_FLOAT32);
  out->set_device(encoder.device);
}

worker::EncoderDescription FromProto(const pb::EncoderDescription& encoder) {
  worker::EncoderDescription out;
  out.name = encoder.name();
  out.digest = encoder.digest();
  out.embed_dim = encoder.embed_dim();
  out.image_size = encoder.image_size();
  out.context_length = encoder.context_length();
  out.text_width = encoder.text_width();
  out.logit_scale = encoder.logit_scale();
  out.parameters = encoder.parameters();
  out.demonstration = encoder.demonstration();
  out.precision = encoder.precision() == pb::PRECISION_BFLOAT16
                      ? Precision::kBFloat16
                      : Precision::kFloat32;
  out.device = encoder.device();
  return out;
}

void ToProto(const worker::ClassifyCall& call, pb::ClassifyRequest* out) {
  out->set_tenant(call.tenant);
  out->set_encoder_digest(call.encoder_digest);
  out->set_embed(call.embed);
  for (const worker::HeadQuery& query : call.heads) {
    pb::HeadQuery* head = out->add_heads();
    head->set_features_digest(query.text.features_digest);
    for (const std::string& text : query.text.texts) head->add_texts(text);
    head->set_top_k(query.top_k);
  }
  for (const absl::string_view image : call.images) {
    out->add_images(image.data(), image.size());
  }
  for (const absl::string_view digest : call.image_digests) {
    out->add_image_digests(digest.data(), digest.size());
  }
  for (const absl::Span<const float> pixels : call.pixels) {
    out->add_pixels()->mutable_values()->Add(pixels.begin(), pixels.end());
  }
  out->set_no_cache(call.no_cache);
  out->set_priority(EnumToProto<pb::Priority>(call.priority));
}

worker::ClassifyCall FromProto(const pb::ClassifyRequest& request) {
  worker::ClassifyCall out;
  out.tenant = request.tenant();
  out.encoder_digest = request.encoder_digest();
  out.embed = request.embed();
  for (const pb::HeadQuery& head : request.heads()) {
    worker::HeadQuery& query = out.heads.emplace_back();
    query.text.features_digest = head.features_digest();
    query.text.texts.assign(head.texts().begin(), head.texts().end());
    query.top_k = head.top_k();
  }
  for (const std::string& image : request.images()) out.images.push_back(image);
  out.image_digests.assign(request.image_digests().begin(),
                           request.image_digests().end());
  for (const pb::Floats& pixels : request.pixels()) {
    out.pixels.emplace_back(pixels.values());
  }
  out.no_cache = request.no_cache();
  out.priority = EnumFromProto(request.priority(), worker::kPriorities,
                               worker::Priority::kNormal);
  return out;
}

void ToProto(const worker::ClassifyOutcome& outcome,
             pb::ClassifyResponse* out) {
  for (const worker::ImageOutcome& image : outcome.images) {
    ImageToProto(image, out->add_images());
  }
  for (const absl::Status& head : outcome.heads) {
    ToProto(head, out->add_heads());
  }
  out->mutable_temperatures()->Add(outcome.temperatures.begin(),
                                   outcome.temperatures.end());
  pb::StageTimings* timings = out->mutable_timings();
  ToProto(outcome.timings.hash, timings->mutable_hash());
  ToProto(outcome.timings.decode, timings->mutable_decode());
  ToProto(outcome.timings.queue, timings->mutable_queue());
  ToProto(outcome.timings.encode, timings->mutable_encode());
  ToProto(outcome.timings.head, timings->mutable_head());
  ToProto(outcome.total, out->mutable_total());
}

worker::ClassifyOutcome FromProto(const pb::ClassifyResponse& response) {
  worker::ClassifyOutcome out;
  for (const pb::ImageOutcome& image : response.images()) {
    out.images.push_back(ImageFromProto(image));
  }
  for (const pb::ItemStatus& head : response.heads()) {
    out.heads.push_back(FromProto(head));
  }
  out.temperatures.assign(response.temperatures().begin(),
                          response.temperatures().end());
  const pb::StageTimings& timings = response.timings();
  out.timings.hash = FromProto(timings.hash());
  out.timings.decode = FromProto(timings.decode());
  out.timings.queue = FromProto(timings.queue());
  out.timings.encode = FromProto(timings.encode());
  out.timings.head = FromProto(timings.head());
  out.total = FromProto(response.total());
  return out;
}

void ToProto(const worker::EmbedTextsCall& call, pb::EmbedTextsRequest* out) {
  out->set_encoder_digest(call.encoder_digest);
  for (const std::string& text : call.texts) out->add_texts(text);
  out->set_truncate(call.truncate);
}

worker::EmbedTextsCall FromProto(const pb::EmbedTextsRequest& request) {
  worker::EmbedTextsCall out;
  out.encoder_digest = request.encoder_digest();
  out.texts.assign(request.texts().begin(), request.texts().end());
  out.truncate = request.truncate();
  return out;
}

void ToProto(const std::vector<worker::TextOutcome>& outcomes,
             pb::EmbedTextsResponse* out) {
  for (const worker::TextOutcome& outcome : outcomes) {
    pb::TextOutcome* text = out->add_texts();
    ToProto(outcome.status, text->mutable_status());
    EmbeddingToProto(outcome.embedding, text->mutable_embedding());
  }
}

std::vector<worker::TextOutcome> FromProto(
    const pb::EmbedTextsResponse& response) {
  std::vector<worker::TextOutcome> out;
  for (const pb::TextOutcome& text : response.texts()) {
    out.push_back(
        {FromProto(text.status()), EmbeddingFromProto(text.embedding())});
  }
  return out;
}

void ToProto(const worker::EncoderVerification& verification,
             pb::EncoderVerification* out) {
  for (const weights::SelfTestCheck& check : verification.checks) {
    pb::SelfTestCheck* one = out->add_checks();
    one->set_subject(check.subject);
    one->set_vectors(check.vectors);
    one->set_deviation(check.deviation);
    one->set_cosine(check.cosine);
    one->set_deviation_limit(check.limits.deviation);
    one->set_cosine_limit(check.limits.cosine);
    one->set_passed(check.passed);
  }
  out->set_origin(verification.origin);
  out->set_digest_on_disk(verification.digest_on_disk);
  out->set_files_unchanged(verification.files_unchanged);
  out->set_passed(verification.passed);
}

worker::EncoderVerification FromProto(const pb::EncoderVerification& message) {
  worker::EncoderVerification out;
  for (const pb::SelfTestCheck& check : message.checks()) {
    out.checks.push_back({check.subject(),
                          check.vectors(),
                          check.deviation(),
                          check.cosine(),
                          {check.deviation_limit(), check.cosine_limit()},
                          check.passed()});
  }
  out.origin = message.origin();
  out.digest_on_disk = message.digest_on_disk();
  out.files_unchanged = message.files_unchanged();
  out.passed = message.passed();
  return out;
}

void ToProto(const worker::InterpretCall& call, pb::InterpretRequest* out) {
  out->set_encoder_digest(call.encoder_digest);
  out->set_context_digest(call.context_digest);
  out->set_classes(call.classes);
  out->set_context_tokens(call.context_tokens);
  out->mutable_class_indexes()->Add(call.class_indexes.begin(),
                                    call.class_indexes.end());
  out->set_top_k(call.top_k);
}

worker::InterpretCall FromProto(const pb::InterpretRequest& request) {
  worker::InterpretCall out;
  out.encoder_digest = request.encoder_digest();
  out.context_digest = request.context_digest();
  out.classes = request.classes();
  out.context_tokens = request.context_tokens();
  out.class_indexes.assign(request.class_indexes().begin(),
                           request.class_indexes().end());
  out.top_k = request.top_k();
  return out;
}

void ToProto(const std::vector<worker::VectorWords>& vectors,
             pb::InterpretResponse* out) {
  for (const worker::VectorWords& vector : vectors) {
    pb::VectorWords* one = out->add_vectors();
    one->set_norm(vector.norm);
    for (const worker::NearWord& word : vector.words) {
      pb::NearWord* near = one->add_words();
      near->set_token(word.token);
      near->set_token_id(word.token_id);
      near->set_distance(word.distance);
    }
  }
}

std::vector<worker::VectorWords> FromProto(
    const pb::InterpretResponse& response) {
  std::vector<worker::VectorWords> out;
  for (const pb::VectorWords& vector : response.vectors()) {
    worker::VectorWords& one = out.emplace_back();
    one.norm = vector.norm();
    for (const pb::NearWord& word : vector.words()) {
      one.words.push_back({word.token(), word.token_id(), word.distance()});
    }
  }
  return out;
}

void ToProto(const worker::PromptCheck& check, pb::PromptCheck* out) {
  out->mutable_total_tokens()->Add(check.total_tokens.begin(),
                                   check.total_tokens.end());
  out->set_init_tokens(check.init_tokens);
}

worker::PromptCheck FromProto(const pb::PromptCheck& check) {
  return {{check.total_tokens().begin(), check.total_tokens().end()},
          check.init_tokens()};
}

}  // namespace promptd::wire
