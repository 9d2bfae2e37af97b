// Whether the list of all terms is open: any explained word opens it, and there is one.
class GlossaryDrawer {
  isOpen = $state(false);
}

export const glossaryDrawer = new GlossaryDrawer();
