// Errors of the model in words: what happened, what was found and expected, what to do next.
import type { Failure, ModelErrorData } from '../inference/model_types';
import type { Dictionary } from './dictionary';
import { bytes, count, milliseconds } from './number_format';
import { providerName, refusalText } from './variant_text';

export interface ErrorText {
  what: string;
  details: readonly { label: string; value: string }[];
  next: string;
}

export function errorText(error: ModelErrorData, words: Dictionary): ErrorText {
  const e = words.errors;
  const got = (value: string) => ({ label: e.got, value });
  const expected = (value: string) => ({ label: e.expected, value });
  const address = (value: string) => ({ label: e.address, value });
  const detail = (value: string) => ({ label: e.detail, value });
  switch (error.kind) {
    case 'aborted':
      return { ...e.aborted, details: [] };
    case 'not-found': {
      const model = /\/(manifest\.json|model[\w.]*\.onnx)(\?|$)/.test(error.url);
      // Many hosts answer an unknown address with their start page and a status of success.
      const answer =
        error.status < 400 ? `${e.notFound.page} (HTTP ${error.status})` : `HTTP ${error.status}`;
      return {
        what: model ? e.notFound.model : e.notFound.file,
        details: [
          address(error.url),
          got(answer),
          ...(model ? [expected(e.notFound.expected)] : []),
        ],
        next: model ? e.notFound.modelNext : e.notFound.fileNext,
      };
    }
    case 'network':
      return { ...(error.offline ? e.offline : e.network), details: [address(error.url)] };
    case 'server': {
      const patience =
        error.retryAfterMs === null
          ? []
          : [{ label: e.server.retryAfter, value: milliseconds(error.retryAfterMs) }];
      return {
        ...e.server,
        details: [address(error.url), got(`HTTP ${error.status}`), ...patience],
      };
    }
    case 'stalled':
      return {
        ...e.stalled,
        details: [address(error.url), got(e.stalled.silence(milliseconds(error.ms)))],
      };
    case 'hung':
      return {
        ...e.hung[error.part],
        details: [got(e.stalled.silence(milliseconds(error.ms)))],
      };
    case 'sandboxed':
      return { ...e.sandboxed, details: [address(error.address), detail(error.detail)] };
    case 'no-cors':
      return {
        ...e.noCors,
        details: [address(error.url), expected(e.noCors.header(error.origin))],
      };
    case 'not-a-manifest':
      return { ...e.notAManifest, details: [address(error.url), detail(error.detail)] };
    case 'contract-version':
      return { ...e.contractVersion, details: [got(error.got), expected(error.supported)] };
    case 'integrity':
      return {
        ...e.integrity,
        details: [
          { label: e.integrity.file, value: error.path },
          got(error.got),
          expected(error.expected),
        ],
      };
    case 'no-ranges':
      return {
        ...e.noRanges,
        details: [
          address(error.url),
          got(e.noRanges.from(error.got)),
          expected(e.noRanges.from(error.expected)),
        ],
      };
    case 'too-large':
      return {
        ...e.tooLarge,
        details: [
          { label: e.integrity.file, value: error.path },
          got(bytes(error.bytes)),
          expected(e.tooLarge.expected(bytes(error.limit))),
        ],
      };
    case 'not-a-model':
      return {
        what: e.notAModel.what[error.reason],
        details: [
          { label: e.integrity.file, value: error.path },
          got(error.got),
          expected(e.notAModel.expected[error.reason]),
        ],
        next: e.notAModel.next[error.reason],
      };
    case 'files-missing':
      return {
        what: e.filesMissing.what(error.count),
        details: [{ label: e.filesMissing.names, value: namesOf(error, words) }],
        next: e.filesMissing.next,
      };
    case 'no-model-in-files':
      return {
        ...e.noModelInFiles,
        details: [
          got(error.count === 0 ? e.noModelInFiles.none : namesOf(error, words)),
          expected(e.noModelInFiles.expected),
        ],
      };
    case 'too-many-files':
      return {
        ...e.tooManyFiles,
        details: [expected(e.tooManyFiles.expected(count(error.limit)))],
      };
    case 'address-refused':
      return {
        ...e.addressRefused,
        details: [got(error.address), expected(e.addressRefused.expected[error.reason])],
      };
    case 'origin-refused':
      return {
        what: e.originRefused.what(error.origin),
        details: [{ label: e.originRefused.allowed, value: error.allowed.join(', ') }],
        next: e.originRefused.next,
      };
    case 'unknown-model':
      return {
        ...e.unknownModel,
        details: [
          got(error.got),
          ...(error.known.length === 0
            ? []
            : [{ label: e.known, value: error.known.join(words.comma) }]),
        ],
      };
    case 'unknown-variant':
      return {
        ...e.unknownVariant,
        details: [got(error.got), { label: e.known, value: error.known.join(', ') }],
      };
    case 'unknown-activation':
      return { ...e.unknownActivation, details: [got(error.got)] };
    case 'unknown-lens':
      return {
        ...e.unknownLens,
        details: [got(error.got), { label: e.known, value: error.known.join(words.comma) }],
      };
    case 'unfit-lens': {
      const { what, next } = e.unfitLens;
      return { what: what[error.reason](error.name), details: [detail(error.detail)], next };
    }
    case 'unknown-dictionary':
      return {
        ...e.unknownDictionary,
        details: [got(error.got), { label: e.known, value: error.known.join(words.comma) }],
      };
    case 'unfit-dictionary': {
      const { what, next } = e.unfitDictionary;
      return { what: what[error.reason](error.name), details: [detail(error.detail)], next };
    }
    case 'no-tokenizer':
      return { ...e.noTokenizer, details: [] };
    case 'no-attribution':
      return { ...e.noAttribution, details: [] };
    case 'bad-tokens':
      return { ...e.badTokens, details: [detail(error.detail)] };
    case 'too-long':
      return {
        ...e.tooLong,
        details: [got(e.tooLong.tokens(error.tokens)), expected(e.tooLong.expected(error.limit))],
      };
    case 'provider-unavailable': {
      const { what, whyNot, next } = e.providerUnavailable;
      const provider = providerName(error.provider);
      return 'reason' in error
        ? {
            what: whyNot(provider, refusalText({ code: error.reason }, words)),
            details: [],
            next: next[error.provider],
          }
        : { what: what(provider), details: [detail(error.detail)], next: next[error.provider] };
    }
    case 'variant-refused': {
      const provider = providerName(error.provider);
      return {
        what: e.variantRefused.what(error.variant, provider, refusalText(error.refusal, words)),
        details: [],
        next: error.next === null ? e.variantRefused.nothing : e.variantRefused.next,
      };
    }
    case 'no-variant-fits':
      return {
        what: e.noVariantFits.what(providerName(error.provider)),
        next: e.noVariantFits.next,
        details: error.refusals.map(({ variant, refusal }) => ({
          label: variant,
          value: refusal === null ? e.noVariantFits.lossy : refusalText(refusal, words),
        })),
      };
    case 'session':
    case 'run':
      return error.failure === undefined
        ? { ...e[error.kind], details: [detail(error.detail)] }
        : failureText(error.kind, error.failure, error.detail, words);
  }
}

/** List the first names, and the number of the others. */
function namesOf(
  { names, count: all }: { names: readonly string[]; count: number },
  words: Dictionary,
): string {
  const rest = all - names.length;
  return [...names, ...(rest > 0 ? [words.errors.filesMissing.more(rest)] : [])].join(words.comma);
}

function failureText(
  kind: 'session' | 'run',
  failure: Failure,
  detail: string,
  words: Dictionary,
): ErrorText {
  const { failure: f, detail: label } = words.errors;
  const what = f[kind](failure.variant, providerName(failure.provider));
  return {
    what: [what, f.causes[failure.cause]].join(words.space),
    details: [{ label, value: detail }],
    next: failure.next === null ? f.nothing : f.next,
  };
}
