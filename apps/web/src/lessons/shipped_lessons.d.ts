// Type of the list that apps/web/plugins/lessons.ts makes of static/lessons.
declare module 'virtual:oriel/lessons' {
  interface ShippedLesson {
    /** As a link names it. */
    readonly name: string;
    readonly title: string | { readonly en: string; readonly zh: string };
    readonly steps: number;
  }
  export const shippedLessons: readonly ShippedLesson[];
}
