// Keeps the list of all terms open or closed: any explained word opens it, and there is one.
class GlossaryDrawer {
  isOpen = $state(false);
}

export const glossaryDrawer = new GlossaryDrawer();
