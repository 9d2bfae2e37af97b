// English: what holds for every view.
export const views = {
  notLoaded: (title: string) =>
    `“${title}” is missing here: its part of the page could not be loaded. Check the connection and try again; if the page was updated meanwhile, reload it.`,
  reload: 'Reload the page',
};
