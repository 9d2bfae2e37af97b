// English: the models kept on this device.

export const kept = {
  title: 'Kept on this device',
  caption:
    'Models that were opened stay in this browser’s storage: the next visit fetches none of their bytes again, and needs no network.',
  none: 'Nothing is kept yet.',
  unavailable:
    'This browser keeps nothing for this page, as in a private window, in a sandboxed frame, without TLS, or where its storage does not answer: every visit fetches the model again, and none opens without a network.',
  opened: (time: string) => `last opened ${time}`,
  older: 'older version',
  olderMeaning: 'A newer one was opened since. Where room is short, this one goes first.',
  quota: (used: string, quota: string) =>
    `${used} of about ${quota} that the browser grants this site`,
  persistence: {
    persistent: 'It stays: the browser does not clear it by itself.',
    evictable: 'The browser may clear it when the disk runs full.',
    unknown: 'The browser does not say whether it may clear it.',
  },
  keep: 'Keep for good',
  outcomes: {
    granted: 'The browser agreed to keep it.',
    denied:
      'Asked to keep it for good, the browser said no for now. It may agree once you have bookmarked or installed the page, or come here more often.',
    unavailable: 'This browser cannot be asked to keep it for good.',
  },
  remove: 'Remove',
  removeAll: 'Remove all',
  sure: (name: string) => `Remove ${name}, all versions?`,
  sureAll: 'Remove every model?',
  yes: 'Yes, remove',
  no: 'No',
  removalFailed: 'It could not be removed: reload the page and try again.',
  since: (time: string) =>
    `Opened from this device, as of ${time}: its address could not be asked for news.`,
  noRoom: 'There was no room to keep this model: the next visit fetches it again.',
  see: 'See what is kept',
  here: 'kept here',
};
