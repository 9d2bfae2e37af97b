// Lets the page change its text after a browser's translator has replaced it.
//
// A translator takes a text node out of the document and puts elements of its own in its place. The page
// goes on writing into the node that it knows, and nobody sees it: old words stand beside new numbers.
// So each node that was taken out is remembered with what stands for it, and comes back when it changes;
// the translator then translates it anew. It relies on the page to put in and take out elements alone,
// never bare text, which tests/web/ui_translated_text.test.ts checks.

interface Taken {
  parent: Node;
  /** The nodes that the translator put in its place, as far as they are known. */
  standIns: Node[];
  before: Node | null;
  after: Node | null;
}

/** Watch the nodes below `root` until the returned function is called. */
export function keepTextChangeable(root: Node): () => void {
  const taken = new WeakMap<Node, Taken>();
  /** The page's node that a translator's node stands for. */
  const standsFor = new WeakMap<Node, Text>();

  function remember(text: Text, place: Taken): void {
    taken.set(text, place);
    for (const node of place.standIns) standsFor.set(node, text);
    observer.observe(text, { characterData: true });
  }

  function putBack(text: Text): void {
    const place = taken.get(text);
    if (place === undefined || text.isConnected) return;
    taken.delete(text);
    const present = place.standIns.filter((node) => node.isConnected);
    const first = present[0];
    const holder = first?.parentNode ?? place.parent;
    const next =
      first ??
      (place.after?.parentNode === holder
        ? place.after
        : place.before?.parentNode === holder
          ? place.before.nextSibling
          : null);
    holder.insertBefore(text, next);
    for (const node of present) node.parentNode?.removeChild(node);
  }

  function takenOut(record: MutationRecord, inserted: ReadonlySet<Node>): void {
    const beside = [record.previousSibling, record.nextSibling].filter(
      (node): node is Node => node !== null && inserted.has(node),
    );
    const added = Array.from(record.addedNodes);
    const standIns = added.length > 0 ? added : beside.slice(0, 1);
    const place = {
      parent: record.target,
      standIns,
      before: record.previousSibling,
      after: record.nextSibling,
    };
    for (const node of record.removedNodes) {
      const replaced = standsFor.get(node);
      // The translator replaces its own words, too.
      if (replaced !== undefined && !replaced.isConnected) remember(replaced, place);
      else if (node instanceof Text && !node.isConnected && node.data.trim() !== '')
        remember(node, place);
    }
  }

  const observer = new MutationObserver((records) => {
    const inserted = new Set(records.flatMap((record) => Array.from(record.addedNodes)));
    for (const record of records)
      if (record.type === 'childList') takenOut(record, inserted);
      else if (record.target instanceof Text) putBack(record.target);
  });
  observer.observe(root, { childList: true, subtree: true });
  return () => {
    observer.disconnect();
  };
}
