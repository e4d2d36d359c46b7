package onebit.train;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.Optional;
import onebit.recipe.Recipe;
import onebit.recipe.Recipes;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What a run says where batch norm sees more images or fewer at a time than in the published run. */
class NormImagesTest {
  private static Recipe load(String name, String... overrides) {
    return new Recipes().load(name, List.of(overrides));
  }

  private static String told(Recipe recipe, int processes) {
    return NormImages.told(recipe, processes).orElseThrow();
  }

  @Test
  void theDevicesOfThePublishedRunSayNothing() {
    for (String name : Recipes.names()) {
      boolean imagenet = name.contains("imagenet");
      int devices = !imagenet || name.startsWith("biper") && name.endsWith("stage2") ? 1 : name.startsWith("bmxnet") ? 2 : name.startsWith("adabin") ? 8 : 4;
      assertEquals(Optional.empty(), NormImages.told(load(name), devices), name);
    }
    assertEquals(List.of("adabin-resnet18-imagenet-stage1", "adabin-resnet18-imagenet-stage2", "adabin-ssd300-voc", "adabin-ssd300backbone-imagenet",
        "bmxnet-binarydensenet37dilated-imagenet", "bmxnet-binarydensenet45-imagenet", "bmxnet-lenet-mnist", "default"),
        Recipes.names().stream().filter(name -> load(name).dist().normImages().isEmpty()).sorted().toList());
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', value = {
      "bmxnet-binarydensenet37-imagenet | 8 | Batch norm sees 4 images at a time, in the published run it saw 16; with 2 processes it would see as many; dist.syncBatchNorm=true lets it see 32.",
      "biper-resnet18-imagenet-stage2 | 8 | Batch norm sees 64 images at a time, in the published run it saw 512; with one process or dist.syncBatchNorm=true it would see as many.",
      "rbnn-resnet18-imagenet | 1 | Batch norm sees 512 images at a time, in the published run it saw 128; with 4 processes or train.gradientAccumulation=4 it would see as many.",
      "rbnn-resnet18-imagenet | 2 | Batch norm sees 256 images at a time, in the published run it saw 128; with 4 processes or train.gradientAccumulation=2 it would see as many.",
      "adabin-resnet20-cifar10 | 3 | Batch norm sees 43 images at a time, in the published run it saw 128; with one process or dist.syncBatchNorm=true it would see as many."})
  void otherNumbersOfProcessesAreToldWithWhatMakesItAsMany(String name, int processes, String sentence) {
    assertEquals(sentence, told(load(name), processes));
  }

  @Test
  void partsAndTogetherAndAnotherBatchCount() {
    assertEquals(Optional.empty(), NormImages.told(load("rbnn-resnet18-imagenet", "train.gradientAccumulation=4"), 1));
    assertEquals(Optional.empty(), NormImages.told(load("biper-resnet18-imagenet-stage2", "dist.syncBatchNorm=true"), 8));
    assertEquals("Batch norm sees 96 images at a time, in the published run it saw 32; with 3 processes or train.gradientAccumulation=3 it would see as many.",
        told(load("adabin-resnet18-imagenet", "data.batch=96"), 1));
    assertEquals("Batch norm sees 5 images at a time, in the published run it saw 32.", told(load("adabin-resnet18-imagenet", "data.batch=5"), 1));
  }
}
