// Links within the page. What follows # in the address is the page's state, so they are followed without touching it.

/** Bring a clicked link's target into view and move the focus there. */
export function goTo(event: MouseEvent & { currentTarget: HTMLAnchorElement }): void {
  event.preventDefault();
  bringToView(document.querySelector<HTMLElement>(event.currentTarget.hash));
}

/** Bring a part of the page into view and move the focus there; null does nothing. */
export function bringToView(target: HTMLElement | null): void {
  if (target === null) return;
  target.tabIndex = -1;
  target.scrollIntoView();
  target.focus({ preventScroll: true });
}
