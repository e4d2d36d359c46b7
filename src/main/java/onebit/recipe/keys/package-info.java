/** What a recipe key may hold, said on the record component that receives it; records of any package may use it. */
package onebit.recipe.keys;
