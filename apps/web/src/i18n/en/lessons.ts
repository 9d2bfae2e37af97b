// English: lessons and their panel.
export const lessons = {
  bar: 'Learn',
  newcomer: 'New here?',
  tour: (steps: number) => `Take the tour: ${steps} steps`,
  other: (title: string, steps: number) => `${title} (${steps} steps)`,
  glossary: 'Words explained',
  panel: 'Lesson',
  fetching: 'Fetching the lesson…',
  step: (at: number, of: number) => `Step ${at} of ${of}`,
  stepTitle: (at: number, title: string) => `Step ${at}: ${title}`,
  seenStep: 'seen',
  steps: 'Steps of the lesson',
  back: 'Back',
  next: 'Next',
  finish: 'Finish',
  leave: 'Leave',
  leaveLabel: 'Leave the lesson',
  leaveHint: 'Your own text and settings come back.',
  collapse: 'Fold the lesson',
  expand: 'Unfold the lesson',
  show: 'Show it',
  doIt: 'Do it for me',
  again: 'Begin this step again',
  expected: 'What to expect',
  seen: 'Seen: the numbers on this page say so.',
  notYet: 'Not seen yet.',
  yours: 'Now it is your turn; or let the page do it.',
  measuring: 'The numbers are on their way…',
  waitsFor: {
    lens: 'the lens has to be open',
    attention: 'the attention maps have to be open',
    attribution: 'the attribution is being computed',
    tokens: 'the model is on its way',
  },
  unfit: (what: string) => `this model or text has no ${what}`,
  holds: 'holds',
  fails: 'does not hold',
  within: (least: string, most: string) => `expected ${least} to ${most}`,
  above: (least: string) => `expected ${least} or more`,
  below: (most: string) => `expected ${most} or less`,
  equals: (what: string) => `expected ${what}`,
  claims: {
    probability: (token: string) => `Probability of ${token}`,
    likeliest: 'Likeliest next token',
    difference: (token: string, other: string) => `Logit of ${token} minus logit of ${other}`,
    lens: (layer: number) => `Likeliest token after layer ${layer}`,
    attention: (head: string, from: string, to: string) =>
      `Attention of head ${head} from ${from} to ${to}`,
    attribution: (token: string, other: string | null) =>
      other === null
        ? `Heads that give ${token} the most`
        : `Heads that favour ${token} over ${other} the most`,
    drawn: (token: string) => `Probability that sampling draws ${token}`,
    kept: 'Tokens that sampling may draw',
  },
  question: 'Question',
  answerLabel: 'Your answer',
  check: 'Check',
  right: 'Right.',
  wrong: 'Not quite.',
  tryAgain: 'Look again and try another answer.',
  end: 'That was the last step.',
  from: (host: string) => `This lesson comes from ${host}.`,
  errors: {
    unknown: (got: string, known: string) =>
      `There is no lesson called “${got}” here; expected one of ${known}, or an https address.`,
    address: (got: string) =>
      `The link names the lesson “${got}”; expected an https address without a name or password in it.`,
    origin: (got: string, allowed: string) =>
      `This page takes no lesson from ${got}; it may come from ${allowed}. Ask whoever runs this page to allow that host.`,
    missing: (url: string, status: number | null) =>
      status === null
        ? `No lesson came from ${url}: the host did not answer, or does not let other pages read it (CORS). Check the address and the connection.`
        : `There is no lesson at ${url} (HTTP ${status}). Check the address.`,
    tooLarge: (url: string, limit: string) =>
      `The lesson at ${url} is larger than ${limit}; shorten it.`,
    invalid: (url: string, detail: string) =>
      `What lies at ${url} is no lesson that this page can read: ${detail}. Its author can check it with “oriel lesson check”.`,
    version: (got: string, supported: string) =>
      `The lesson is of version ${got}; this page reads ${supported}. Reload the page, or ask for an older form of the lesson.`,
  },
  close: 'Close',
};
